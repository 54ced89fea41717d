-- A bad record is rejected and the rest goes on; where many of a load are, something is wrong with
-- all of it: it is held back from the marts until somebody has looked, and decides. Other loads are
-- not: in `dbt build` a failed test stops what hangs on all that it reads, and nothing hangs on the
-- last of the marts.
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
