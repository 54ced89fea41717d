{% test expression_is_true(model, expression, column_name=none) %}

-- a row passes if the expression is null: "not (null)" is not true
select *
from {{ model }}
where not ({{ column_name if column_name is not none }} {{ expression }})

{% endtest %}
