{% test expect_column_value_lengths_to_equal(model, column_name, value, row_condition=none) %}

-- a null has no length and passes
select *
from {{ model }}
where
    {% if row_condition -%} ({{ row_condition }}) and {% endif -%}
    not (length({{ column_name }}) = {{ value }})

{% endtest %}
