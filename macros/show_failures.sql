{% macro show_failures(results) %}
    {#-
        dbt says how many rows a test found and not which. For tests with `show_failures: true` in
        their meta, which must keep their failures and hold no password, this prints the rows.
    -#}
    {%- if execute -%}
    {%- for result in results if result.status in ['warn', 'fail']
            and result.node.config.meta.get('show_failures') -%}
        {%- set rows = run_query("select * from " ~ result.node.relation_name ~ " limit 10") -%}
        {{- print(result.status ~ ": " ~ result.node.name) -}}
        {%- for row in rows.rows -%}
            {%- set cells = [] -%}
            {%- for name in rows.column_names -%}
                {%- do cells.append(name ~ "=" ~ row[name]) -%}
            {%- endfor -%}
            {{- print("  " ~ cells | join(", ")) -}}
        {%- endfor -%}
        {%- if result.failures > rows.rows | length -%}
            {{- print("  ... and " ~ (result.failures - rows.rows | length) ~ " more in " ~ result.node.relation_name) -}}
        {%- endif -%}
    {%- endfor -%}
    {%- endif -%}
{% endmacro %}
