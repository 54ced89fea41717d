-- No user is lost silently: each user of a load is accepted or rejected, and `users` and `logins`
-- have each user of the used loads once, in the version that landed last, so the counts agree for
-- the rows since any point in time. Forgetting a user changes what has landed, not what was counted.
{%- set since = oldest_start() if var('dev_days') else var('tested_from') %}

with

loads as (

    select * from {{ ref('loads') }}
    where loaded_at >= {{ since }}

),

compared as (

    select
        'accepted or rejected' as users,
        load_id,
        users_landed as expected,
        coalesce(users_accepted + users_rejected, 0) as found
    from loads
    where
        not coalesce(users_accepted + users_rejected between users_landed and users_received, false)
        -- what landed after base was built is next
        and (
            built_at is not null
            or loaded_at < (
                select timestamp_sub(max(built.loaded_at), interval {{ var('lookback_hours') }} hour)
                from loads as built
                where built.built_at is not null
            )
        )

    union all

    select
        concat('in ', marts.mart) as users,
        cast(null as string) as load_id,
        landed.users as expected,
        marts.users as found
    from (
        select
            'users' as mart,
            count(*) as users
        from {{ ref('users') }}
        where loaded_at >= {{ since }}
        union all
        select
            'logins' as mart,
            count(*) as users
        from {{ ref('logins') }}
        where loaded_at >= {{ since }}
    ) as marts
    cross join (
        select count(distinct user_id) as users
        from {{ ref('stg_randomuser__users') }}
        where
            loaded_at >= {{ since }}
            and load_id in (select used.load_id from loads as used where used.state = 'used')
    ) as landed

)

select * from compared
where expected != found
