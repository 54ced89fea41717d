{% macro lookback_start() %}
    {#-
        Where the model begins to read, as a literal, because BigQuery prunes partitions by
        constants alone. It is counted from the newest row that the model itself holds, not from
        now: after an outage of any length, or a run that failed half-way, nothing is passed over.
    -#}
    {%- set ever = "timestamp '1970-01-01 00:00:00+00'" -%}
    {%- if not execute or should_full_refresh() or load_relation(this) is none -%}
        {{ return(ever) }}
    {%- endif -%}
    {#- The newest row is looked for in the last days, and in all of the table after an outage. -#}
    {%- for start in [tested_from(), ever] -%}
        {%- set newest = run_query(
            "select max(loaded_at) from " ~ this ~ " where loaded_at >= " ~ start
        ).columns[0][0] -%}
        {%- if newest -%}
            {%- set hours = modules.datetime.timedelta(hours=var('lookback_hours')) -%}
            {{ return("timestamp '" ~ (newest - hours).strftime("%Y-%m-%d %H:%M:%S.%f+00") ~ "'") }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ever) }}
{% endmacro %}
