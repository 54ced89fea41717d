-- Nothing is lost silently: what landed is in a mart, rejected with a reason, or an older version
-- of a user that is in a mart; a difference is the number of users that went missing or doubled.
with

counted as (

    select
        (
            select count(*) from {{ source('randomuser', 'users') }}
            where loaded_at >= timestamp '1970-01-01 00:00:00+00'
        ) as raw_users,
        (select count(*) from {{ ref('users') }}) as current_users,
        (select count(*) from {{ ref('stg_randomuser__rejected') }}) as rejected,
        (
            select count(*) - count(distinct user_id)
            from {{ ref('stg_randomuser__users') }}
        ) as superseded

)

select * from counted
where raw_users != current_users + rejected + superseded
