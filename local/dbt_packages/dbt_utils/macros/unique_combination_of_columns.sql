{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}

{%- set columns = [] -%}
{%- for column in combination_of_columns -%}
    {%- do columns.append(adapter.quote(column) if quote_columns else column) -%}
{%- endfor -%}

-- nulls are one value here: two rows with a null in the same place are a duplicate
select
    {{ columns | join(", ") }},
    count(*) as duplicates
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1

{% endtest %}
