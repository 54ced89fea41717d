-- No user is lost silently: each user of a load is accepted or rejected; `users` and `logins` have
-- each user of the used loads once, in the version that landed last, so the counts agree for the
-- rows since any point in time. Forgetting a user changes what has landed, not what was counted.
{%- set since = oldest_start() if var('dev_days') else var('tested_from') %}

with

loads as (

    select * from {{ ref('loads') }}
    where loaded_at >= {{ oldest_start() }}

),

-- what landed after base was built is next
built as (

    select timestamp_sub(max(loaded_at), interval {{ var('lookback_hours') }} hour) as since
    from loads
    where built_at is not null

),

landed as (

    select count(distinct user_id) as users
    from {{ ref('stg_randomuser__users') }}
    where
        loaded_at >= {{ since }}
        and load_id in (
            select used.load_id from loads as used
            where used.state = 'used'
        )

),

marts as (

    select
        'in users' as mart,
        count(*) as users
    from {{ ref('users') }}
    where loaded_at >= {{ since }}
    union all
    select
        'in logins' as mart,
        count(*) as users
    from {{ ref('logins') }}
    where loaded_at >= {{ since }}

),

compared as (

    select
        'accepted or rejected' as users,
        loads.load_id,
        loads.users_landed as expected,
        coalesce(loads.users_accepted + loads.users_rejected, 0) as found
    from loads
    cross join built
    where
        not coalesce(
            loads.users_accepted + loads.users_rejected
            between loads.users_landed and loads.users_received,
            false
        )
        and loads.state != 'expired'
        and (loads.built_at is not null or loads.loaded_at < built.since)

    union all

    select
        marts.mart as users,
        cast(null as string) as load_id,
        landed.users as expected,
        marts.users as found
    from marts
    cross join landed

)

select * from compared
where expected != found
