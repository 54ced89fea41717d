-- A few bad records are rejected and the load is used. If many are rejected, the load itself may be
-- wrong: it is held back from the marts until a person decides, whatever its age. Other loads are
-- used: a failed test makes `dbt build` skip what depends on the tested models, and nothing depends
-- on the last mart.
-- depends_on: {{ ref('logins') }}
{{ config(severity=var('held_back_loads'), meta={'show_failures': true}) }}

select
    load_id,
    users_rejected as rejected,
    users_received as users,
    round(users_rejected / users_received, 4) as rejected_share,
    rejection_reasons as reasons,
    concat('python -m ingest --accept ', load_id, ', or --set-aside ', load_id) as to_do
from {{ ref('loads') }}
where state = 'held back'
order by load_id
