{% macro bigquery__get_merge_sql(
    target, source, unique_key, dest_columns, incremental_predicates=none
) %}
    {#-
        dbt's macro. For a model with the meta `pruned_by` it adds a literal on that column, so that
        BigQuery neither reads nor bills partitions that are older than any row of the merge.
    -#}
    {%- set column = config.get('meta').pruned_by -%}
    {%- if column and column not in dest_columns | map(attribute='name') -%}
        {{ exceptions.raise_compiler_error(
            "merge into " ~ target ~ " cannot be pruned: it has no column `" ~ column ~ "`"
        ) }}
    {%- endif -%}
    {%- set batch_result = load_result('create_tmp_relation') -%}
    {%- if column and batch_result and batch_result.response.rows_affected == 0 -%}
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
        A merge of `source` into `target` reads `target` from this time on. For base it is the start
        of the look-back window, because a row of base keeps the `loaded_at` of its load. A mart may
        get a new version of a row that is years old, so the oldest row with a key of the batch is
        queried there, once for all statements of a node; the query reads only key and `loaded_at`.
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
