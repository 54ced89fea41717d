-- A load or a build that ran while users were forgotten may have written them again: run
-- `dbt run-operation forget_users` again, with the same ids. In other tables than these a user alone
-- breaks a relationship, which has its own test.
with

counted as (

    select
        'base_randomuser__users' as table_name,
        count(*) as users
    from {{ ref('base_randomuser__users') }}
    where
        loaded_at >= {{ var('tested_from') }}
        and {{ user_hash('user_id') }} in (
            select user_hash from {{ source('randomuser', 'forgotten') }}
        )

    union all

    select
        'users_history' as table_name,
        count(*) as users
    from {{ ref('users_history') }}
    where
        loaded_at >= {{ var('tested_from') }}
        and {{ user_hash('user_id') }} in (
            select user_hash from {{ source('randomuser', 'forgotten') }}
        )

)

select * from counted
where users > 0
