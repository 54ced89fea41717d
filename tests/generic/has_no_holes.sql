{% test has_no_holes(model, command='python -m ingest') %}
    {#-
        Each interval between the first and the newest load of a table of loads has a load: a
        schedule that does not catch up leaves holes after an outage. The id of a scheduled load is
        the start of its interval, as Airflow writes it. The var `load_interval` is hour or day.
    -#}
    {%- set interval = var('load_interval') -%}
    {{- config(
        enabled=interval is not none, severity='warn', meta={'show_failures': true}
    ) -}}
    {%- if interval not in ['hour', 'day', none, 'None'] -%}
        {{ exceptions.raise_compiler_error(
            "the var `load_interval` is " ~ interval ~ ": set it to hour, day or null"
        ) }}
    {%- endif %}
with

scheduled as (

    select
        state,
        safe_cast(load_id as timestamp) as started_at
    from {{ model }}
    where regexp_contains(load_id, r'^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00$')

),

bounds as (

    select
        min(started_at) as oldest,
        max(started_at) as newest
    from scheduled
    where state != 'set aside'

),

intervals as (

    select format_timestamp('%Y-%m-%dT%H:%M:%S+00:00', started_at) as load_id
    from bounds
    cross join
        unnest(generate_timestamp_array(newest, oldest, interval -1 {{ interval }})) as started_at
    where
        timestamp_trunc(started_at, {{ interval }}) not in (
            select timestamp_trunc(scheduled.started_at, {{ interval }}) from scheduled
            where scheduled.started_at is not null
        )

)

select
    load_id,
    concat('{{ command }} --load-id ', load_id) as to_do
from intervals
order by load_id
{% endtest %}
