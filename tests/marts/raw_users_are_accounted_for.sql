-- No user is lost silently: each raw user is in a mart, rejected with a reason, in an unused load,
-- or an older version of a user in a mart. A difference is the number of lost or doubled users. A
-- mart has the version that landed last, so the counts agree for the rows since any point in time.
{%- set since = lookback_start() if var('dev_days') else var('tested_from') %}

with

accepted as (

    select * from {{ ref('stg_randomuser__users') }}
    where loaded_at >= {{ since }}

),

unused_loads as (

    {{ unused_loads(since) }}

),

counted as (

    select
        (
            select count(*) from {{ source('randomuser', 'users') }}
            where loaded_at >= {{ since }}
        ) as raw_users,
        (
            select count(*) from {{ ref('users') }}
            where loaded_at >= {{ since }}
        ) as current_users,
        (
            select count(*) from {{ ref('stg_randomuser__rejected') }}
            where loaded_at >= {{ since }}
        ) as rejected,
        (select sum(users - rejected) from unused_loads) as unused,
        (
            select count(*) - count(distinct accepted.user_id) from accepted
            where accepted.load_id not in (select unused_loads.load_id from unused_loads)
        ) as superseded

)

select * from counted
where raw_users != current_users + rejected + coalesce(unused, 0) + superseded
