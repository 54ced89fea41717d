{% macro bigquery_table_options(config, node, temporary) %}
    {#- dbt's macro. Tables of failing rows (`--store-failures`) expire by `keep_failures_days`. -#}
    {%- set options = adapter.get_table_options(config, node, temporary) -%}
    {%- set expiration = failures_expiration() if node.resource_type == 'test' -%}
    {%- if expiration -%}
        {%- do options.update({'expiration_timestamp': expiration}) -%}
    {%- endif -%}
    {{ return(bigquery_options(options)) }}
{% endmacro %}
