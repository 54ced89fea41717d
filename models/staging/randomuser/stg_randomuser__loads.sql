with

users as (

    select * from {{ ref('base_randomuser__users') }}

),

decisions as (

    select
        load_id,
        decision
    from {{ source('randomuser', 'loads') }}

),

counted as (

    select
        load_id,
        loaded_at,
        count(*) as users,
        countif(rejection_reason is not null) as rejected
    from users
    group by load_id, loaded_at

)

select
    counted.load_id,
    counted.loaded_at,
    counted.users,
    counted.rejected,
    decisions.decision,
    coalesce(
        decisions.decision = 'accepted',
        counted.rejected <= counted.users * {{ var('rejected_share') }}
    ) as is_used
from counted
left join decisions
    on counted.load_id = decisions.load_id
