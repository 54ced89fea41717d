{% macro bigquery__alter_column_comment(relation, column_dict) %}
    {#-
        dbt's macro, which sets the descriptions and policy tags of columns. It adds the tag that
        the var `policy_tags` has for the class of a column. A view has no tags of its own: BigQuery
        checks those of the tables that it reads.
    -#}
    {%- set tags = var('policy_tags') if relation.is_table and target.name == 'prod' else {} -%}
    {%- for class in tags if class not in ['public', 'personal', 'credential'] -%}
        {{ exceptions.raise_compiler_error("the var `policy_tags` has no class `" ~ class ~ "`") }}
    {%- endfor -%}
    {%- set columns = {} -%}
    {%- for name, column in column_dict.items() -%}
        {%- set tag = tags[column.config.meta.class] -%}
        {%- do columns.update({name: dict(column, policy_tags=[tag]) if tag else column}) -%}
    {%- endfor -%}
    {%- do dbt.bigquery__alter_column_comment(relation, columns) -%}
{% endmacro %}
