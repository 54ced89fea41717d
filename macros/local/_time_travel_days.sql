{% macro _time_travel_days(schemas) %}
    {#-
        A query for the longest time travel of datasets. A dataset without the option has seven
        days, as all have on the emulator, which lacks the view.
    -#}
    {%- if target.name == 'local' -%}
        {{ return('select 7') }}
    {%- endif -%}
    select
        if(
            count(*) = {{ schemas | length }},
            cast(ceil(max(cast(option_value as int64)) / 24) as int64),
            7
        )
    from `{{ target.project }}.region-{{ target.location | lower }}`.INFORMATION_SCHEMA.SCHEMATA_OPTIONS
    where option_name = 'max_time_travel_hours' and schema_name in ('{{ schemas | join("', '") }}')
{%- endmacro %}
