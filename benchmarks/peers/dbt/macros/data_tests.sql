-- Instead of dbt_utils and dbt_expectations, which the benchmark does not install.
{% test is_true(model, expression, column_name='') %}
    select 1 from {{ model }} where not ({{ column_name }} {{ expression }})
{% endtest %}

{% test matches(model, column_name, regex) %}
    select 1 from {{ model }} where not
    {{- " regexp_contains(" ~ column_name ~ ", r'" ~ regex ~ "')" if target.type == 'bigquery'
        else " regexp_matches(" ~ column_name ~ ", '" ~ regex ~ "')" }}
{% endtest %}
