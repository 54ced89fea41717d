{% test matches_raw(model, ledger, records, last_mart) %}
    {#-
        A load lands completely or not at all: what was received is in raw, as many rows as the
        ledger records, or belongs to people who are forgotten; and each load in raw has a row in
        the ledger. `last_mart`: nothing depends on it, so that no model is skipped because of a
        load that died.
    -#}
    {{- config(meta={'show_failures': true}) -}}
    {%- set hours = var('lookback_hours') %}
-- depends_on: {{ last_mart }}
with

landed as (

    select
        load_id,
        count(*) as {{ records }}_in_raw,
        max(loaded_at) as landed_at
    from {{ model }}
    where loaded_at >= {{ var('tested_from') }}
    group by load_id

),

loads as (

    select * from {{ ledger }}

)

select
    landed.load_id,
    loads.load_id as load_id_in_ledger,
    landed.{{ records }}_in_raw,
    loads.{{ records }}_landed,
    loads.{{ records }}_forgotten,
    loads.{{ records }}_received,
    loads.{{ records }}_asked
from landed
full outer join loads
    on landed.load_id = loads.load_id
where
    (landed.load_id is not null or loads.started_at >= {{ var('tested_from') }})
    and (
        -- a load that lands now gets its row in the ledger after its records
        (
            loads.load_id is null
            and landed.landed_at < timestamp_sub(current_timestamp(), interval {{ hours }} hour)
        )
        or coalesce(landed.{{ records }}_in_raw, 0) != loads.{{ records }}_landed
        or loads.{{ records }}_landed + coalesce(loads.{{ records }}_forgotten, 0)
        != loads.{{ records }}_received
        or loads.{{ records }}_received != loads.{{ records }}_asked
    )
{% endtest %}
