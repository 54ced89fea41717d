{% macro bigquery__get_merge_sql(
    target, source, unique_key, dest_columns, incremental_predicates=none
) %}
    {#-
        dbt's macro. For a model with the meta `pruned_by` it adds a literal on that column, so that
        BigQuery neither reads nor bills partitions that are older than any row of the merge, and a
        row with an empty `load_id` deletes its key (newest_rows.sql).
    -#}
    {%- set column = config.get('meta').pruned_by -%}
    {%- if not column -%}
        {{ return(dbt.default__get_merge_sql(
            target, source, unique_key, dest_columns, incremental_predicates
        )) }}
    {%- endif -%}
    {%- set error = "merge into " ~ target ~ " cannot be pruned: " -%}
    {%- if column not in dest_columns | map(attribute='name') -%}
        {{ exceptions.raise_compiler_error(error ~ "it has no column `" ~ column ~ "`") }}
    {%- endif -%}
    {%- set batch_result = load_result('create_tmp_relation') -%}
    {%- if batch_result and batch_result.response.rows_affected == 0 -%}
        {{ return("select 'nothing is new' as result") }}
    {%- endif -%}
    {#- A mart may get a new version of a row that is years old: the oldest row with a key of the
        batch is queried there, by key and `loaded_at` alone. A row of base keeps its load. -#}
    {%- set oldest = run_query(
        "select min(" ~ column ~ ") from " ~ source if unique_key is not string else
        "select least(min(" ~ column ~ "), (select min(batch." ~ column ~ ") from " ~ source
        ~ " as batch)) from " ~ target ~ " where " ~ unique_key ~ " in (select batch."
        ~ unique_key ~ " from " ~ source ~ " as batch)"
    ).columns[0][0] -%}
    {%- set merge = dbt.default__get_merge_sql(
        target, source, unique_key, dest_columns,
        (incremental_predicates or []) + ["DBT_INTERNAL_DEST." ~ column ~ " >= " ~ as_literal(oldest)]
    ) -%}
    {%- set matched, unmatched = "when matched then update", "when not matched then insert" -%}
    {%- if matched not in merge or unmatched not in merge -%}
        {{ exceptions.raise_compiler_error(error ~ "the SQL of dbt has another form") }}
    {%- endif -%}
    {%- set is_deleted = "DBT_INTERNAL_SOURCE.load_id = ''" -%}
    {{ merge | replace(matched, "when matched and " ~ is_deleted ~ " then delete\n    " ~ matched)
        | replace(unmatched, "when not matched and not " ~ is_deleted ~ " then insert") }}
{% endmacro %}
