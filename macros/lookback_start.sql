{% macro lookback_start() %}
    {#-
        The start of an incremental model's look-back window, as a literal, because BigQuery
        prunes partitions by nothing else. It is counted from the newest row that the model
        holds, not from now: after an outage of any length nothing is passed over.
    -#}
    {%- if execute -%}
        {%- set newest = run_query("select max(loaded_at) from " ~ this).columns[0][0] -%}
        {%- if newest -%}
            {%- set start = newest - modules.datetime.timedelta(days=var('lookback_days')) -%}
            timestamp '{{ start.strftime("%Y-%m-%d %H:%M:%S.%f+00") }}'
        {%- else -%}
            timestamp '1970-01-01 00:00:00+00'
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
