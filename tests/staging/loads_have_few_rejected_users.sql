-- A few bad records are rejected and the load is used. If many are rejected, the load itself may be
-- wrong: it is held back from the marts until a person decides. Other loads are used: a failed test
-- makes `dbt build` skip what depends on the tested models, and nothing depends on the last mart.
-- depends_on: {{ ref('logins') }}
{{ config(severity=var('held_back_loads'), meta={'show_failures': true}) }}

with

held_back as (

    select * from ({{ unused_loads(var('tested_from')) }})
    where decision is null

),

reasons as (

    select
        load_id,
        rejection_reason,
        count(*) as users
    from {{ ref('stg_randomuser__rejected') }}
    where loaded_at >= {{ var('tested_from') }}
    group by load_id, rejection_reason

)

select
    held_back.load_id,
    held_back.rejected,
    held_back.users,
    round(held_back.rejected / held_back.users, 4) as rejected_share,
    string_agg(
        concat(reasons.rejection_reason, ' (', cast(reasons.users as string), ')'), '; '
        order by reasons.users desc, reasons.rejection_reason asc
    ) as reasons,
    'python -m ingest --accept LOAD_ID, or --set-aside LOAD_ID' as to_do
from held_back
inner join reasons
    on held_back.load_id = reasons.load_id
group by held_back.load_id, held_back.rejected, held_back.users
order by held_back.load_id
