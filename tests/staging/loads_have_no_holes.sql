-- With the var `load_interval`, each interval between the first and the newest load has a load: a
-- schedule that does not catch up leaves holes after an outage. The id of a scheduled load is the
-- start of its interval, as Airflow writes it.
{{ config(
    severity='warn',
    enabled=var('load_interval') is not none,
    meta={'show_failures': true},
) }}
{%- set interval = var('load_interval') | string %}
{%- if interval not in ['hour', 'day', 'None'] %}
    {{ exceptions.raise_compiler_error(
        "the var `load_interval` is " ~ interval ~ ": set it to hour, day or null"
    ) }}
{%- endif %}
{%- set unit = interval | replace('None', 'day') %}

with

starts as (

    select
        state,
        safe_cast(load_id as timestamp) as start
    from {{ ref('loads') }}
    where regexp_contains(load_id, r'^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00$')

),

intervals as (

    select start
    from (
        select
            min(start) as first,
            max(start) as newest
        from starts
        where state != 'set aside'
    )
    cross join
        unnest(generate_timestamp_array(newest, first, interval -1 {{ unit }})) as start

)

select
    format_timestamp('%Y-%m-%dT%H:%M:%S+00:00', start) as load_id,
    concat(
        'python -m ingest --load-id ', format_timestamp('%Y-%m-%dT%H:%M:%S+00:00', start)
    ) as to_do
from intervals
where
    timestamp_trunc(start, {{ unit }}) not in (
        select timestamp_trunc(starts.start, {{ unit }}) from starts
        where starts.start is not null
    )
order by load_id
