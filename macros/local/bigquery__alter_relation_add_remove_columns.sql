{% macro bigquery__alter_relation_add_remove_columns(relation, add_columns, remove_columns) %}
    {#-
        For `on_schema_change`: dbt gives the table a new schema over the API, which the emulator
        notes, and does not change the table. Locally a statement does that as well.
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
