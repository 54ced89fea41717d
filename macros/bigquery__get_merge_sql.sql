{% macro bigquery__get_merge_sql(
    target, source, unique_key, dest_columns, incremental_predicates=none
) %}
    {#-
        dbt's own; for a model with the meta `pruned_by`, with a literal on that column, by which
        BigQuery reads and bills no older partition than the merge can touch.
    -#}
    {%- set column = config.get('meta').pruned_by -%}
    {%- if column and column not in dest_columns | map(attribute='name') -%}
        {{ exceptions.raise_compiler_error(
            "the merge of " ~ target ~ " cannot be pruned by `" ~ column ~ "`: it has no such column"
        ) }}
    {%- endif -%}
    {%- set made = load_result('create_tmp_relation') -%}
    {%- if column and made and made.response.rows_affected == 0 -%}
        select 'nothing is new' as result
    {%- else -%}
        {%- set predicates = incremental_predicates or [] -%}
        {%- if column -%}
            {%- set start = oldest_match(target, source, unique_key) -%}
            {%- set predicates = predicates + ["DBT_INTERNAL_DEST." ~ column ~ " >= " ~ start] -%}
        {%- endif -%}
        {{ dbt.default__get_merge_sql(target, source, unique_key, dest_columns, predicates) }}
    {%- endif -%}
{% endmacro %}

{% macro oldest_match(target, source, unique_key) %}
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
        {%- if oldest %}{{ return(as_literal(oldest)) }}{% endif -%}
    {%- endif -%}
    {{ return(lookback_start()) }}
{% endmacro %}
