{% macro bigquery__alter_relation_add_remove_columns(relation, add_columns, remove_columns) %}
    {#-
        For `on_schema_change`. dbt updates the schema of the table over the API; the emulator
        stores that schema but does not change the table. Locally a statement adds the columns.
    -#}
    {%- do _add_columns_locally(relation, add_columns or []) -%}
    {%- do dbt.bigquery__alter_relation_add_remove_columns(relation, add_columns, remove_columns) -%}
{% endmacro %}

{% macro bigquery__create_columns(relation, columns) %}
    {#- For snapshots, with the same reason. -#}
    {%- do _add_columns_locally(relation, columns) -%}
    {%- do dbt.bigquery__create_columns(relation, columns) -%}
{% endmacro %}

{% macro _add_columns_locally(relation, columns) %}
    {%- if target.name == 'local' -%}
        {%- for column in columns -%}
            {%- do run_query(
                "alter table " ~ relation ~ " add column if not exists " ~ column.name ~ " "
                ~ column.data_type
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
