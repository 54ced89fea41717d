-- Nothing is lost silently: what landed is in a mart, rejected with a reason, or an older version
-- of a user that is in a mart; a difference is the number of users that went missing or doubled.
-- The version in the mart is the one that landed last, so this holds from any point in time on.
with

counted as (

    select
        (
            select count(*) from {{ source('randomuser', 'users') }}
            where loaded_at >= {{ tested_from() }}
        ) as raw_users,
        (
            select count(*) from {{ ref('users') }}
            where loaded_at >= {{ tested_from() }}
        ) as current_users,
        (
            select count(*) from {{ ref('stg_randomuser__rejected') }}
            where loaded_at >= {{ tested_from() }}
        ) as rejected,
        (
            select count(*) - count(distinct user_id)
            from {{ ref('stg_randomuser__users') }}
            where loaded_at >= {{ tested_from() }}
        ) as superseded

)

select * from counted
where raw_users != current_users + rejected + superseded
