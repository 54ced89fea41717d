-- Instead of dbt_utils and dbt_expectations, which the benchmark does not install.
{% test matches(model, column_name, regex) %}
    select * from {{ model }} where not regexp_matches({{ column_name }}, '{{ regex }}')
{% endtest %}

{% test in_range(model, column_name, least, greatest) %}
    select * from {{ model }} where {{ column_name }} not between {{ least }} and {{ greatest }}
{% endtest %}

{% test unique_together(model, columns) %}
    select 1 from {{ model }} group by {{ columns | join(', ') }} having count(*) > 1
{% endtest %}
