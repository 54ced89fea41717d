{% test expect_table_row_count_to_be_between(
    model, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false
) %}

{%- if min_value is none and max_value is none -%}
    {{ exceptions.raise_compiler_error(
        "expect_table_row_count_to_be_between: give min_value, max_value or both"
    ) }}
{%- endif -%}
{%- set or_equal = "" if strictly else "=" -%}
{%- set groups = group_by or [] -%}

select
    {%- for column in groups %}
    {{ column }},
    {%- endfor %}
    count(*) as row_count
from {{ model }}
{%- if row_condition %}
where {{ row_condition }}
{%- endif %}
{%- if groups %}
group by {{ groups | join(", ") }}
{%- endif %}
having not (
    true
    {%- if min_value is not none %}
    and count(*) >{{ or_equal }} {{ min_value }}
    {%- endif %}
    {%- if max_value is not none %}
    and count(*) <{{ or_equal }} {{ max_value }}
    {%- endif %}
)

{% endtest %}
