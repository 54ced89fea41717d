{% macro with_article(json_type) %}
    {#- A type of JSON as a person says it. -#}
    case
        when {{ json_type }} in ('object', 'array') then concat('an ', {{ json_type }})
        when {{ json_type }} = 'null' then 'null'
        else concat('a ', {{ json_type }})
    end
{%- endmacro %}
