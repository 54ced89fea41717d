{% test expression_is_true(model, expression, column_name=none) %}

-- "not (true)" rather than "false": where the expression is null, the row passes
select *
from {{ model }}
where not ({{ column_name if column_name is not none }} {{ expression }})

{% endtest %}
