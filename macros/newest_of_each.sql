{% macro newest_of_each(key) %}
    {#- A QUALIFY condition that keeps the version that landed last, one row a key. -#}
    row_number() over (
        partition by {{ key }}
        order by loaded_at desc, load_id desc, record_index desc
    ) = 1
{%- endmacro %}
