{% macro merge_start(target, source, unique_key) %}
    {#-
        The oldest row of `target` that a merge of `source` can match. A row of base has the
        `loaded_at` of its load for ever, so there it is where the look-back begins. A user may
        come again after years: there the keys, and nothing else, are looked up.
    -#}
    {%- if unique_key is string -%}
        {%- set oldest = run_query(
            "select min(loaded_at) from " ~ target ~ " where " ~ unique_key ~ " in (select "
            ~ unique_key ~ " from " ~ source ~ " as batch)"
        ).columns[0][0] -%}
        {%- if oldest -%}
            {{ return("timestamp '" ~ oldest.strftime("%Y-%m-%d %H:%M:%S.%f+00") ~ "'") }}
        {%- endif -%}
    {%- endif -%}
    {{ return(lookback_start()) }}
{% endmacro %}
