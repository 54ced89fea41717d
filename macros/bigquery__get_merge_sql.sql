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
        Where a merge of `source` into `target` begins to read: at the look-back, or at the oldest
        row with a key of the batch. A row of base has the `loaded_at` of its load for ever, so
        there it is the look-back. A user may come again after years: there the keys, and nothing
        else, are looked up, once for all statements of a snapshot.
    -#}
    {%- if unique_key is not string -%}
        {{ return(lookback_start()) }}
    {%- endif -%}
    {%- set name = 'oldest match of ' ~ target -%}
    {%- if name not in graph -%}
        {%- set oldest = run_query(
            "select min(least(loaded_at, " ~ lookback_start() ~ ")) from " ~ target ~ " where "
            ~ unique_key ~ " in (select " ~ unique_key ~ " from " ~ source ~ " as batch)"
        ).columns[0][0] -%}
        {%- do graph.update({name: as_literal(oldest) if oldest else lookback_start()}) -%}
    {%- endif -%}
    {{ return(graph[name]) }}
{% endmacro %}
