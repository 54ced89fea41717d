{% macro bigquery__alter_relation_add_remove_columns(relation, add_columns, remove_columns) %}
    {#-
        For `on_schema_change`. dbt updates the schema of the table over the API; the emulator
        stores that schema but does not change the table. Locally a statement adds the columns.
    -#}
    {%- if target.name == 'local' -%}
        {%- for column in add_columns or [] -%}
            {%- do run_query(
                "alter table " ~ relation ~ " add column if not exists " ~ column.name ~ " "
                ~ column.data_type
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- do dbt.bigquery__alter_relation_add_remove_columns(relation, add_columns, remove_columns) -%}
{% endmacro %}
