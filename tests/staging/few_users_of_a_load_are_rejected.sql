-- A bad record is rejected and the rest goes on; where many of a load are, something is wrong with
-- all of it, and somebody has to look before it is used.
{{
    config(
        store_failures=true,
        schema='restricted',
        meta={'show_failures': true},
    )
}}

with

loads as (

    select
        load_id,
        countif(rejection_reason is not null) as rejected,
        count(*) as users
    from {{ ref('base_randomuser__users') }}
    where loaded_at >= {{ tested_from() }}
    group by load_id

)

select
    load_id,
    rejected,
    users,
    round(rejected / users, 4) as rejected_share
from loads
where rejected > users * {{ var('rejected_share') }}
order by load_id
