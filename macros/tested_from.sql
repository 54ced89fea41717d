{% macro tested_from() %}
    {#- From when on rows are tested, as a literal: BigQuery prunes partitions by constants alone. -#}
    {%- if flags.FULL_REFRESH -%}
        {{ return("timestamp '1970-01-01 00:00:00+00'") }}
    {%- endif -%}
    {%- set days = modules.datetime.timedelta(days=var('tested_days')) -%}
    {{ return("timestamp '" ~ (run_started_at - days).strftime("%Y-%m-%d %H:%M:%S+00") ~ "'") }}
{% endmacro %}
