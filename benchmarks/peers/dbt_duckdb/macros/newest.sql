{% macro newest(key) %}
    {#- Filters the rows that a mart has to read, and keeps the newest row of each key. -#}
    {%- if is_incremental() %}
    where loaded_at >= (select max(loaded_at) - interval 6 hour from {{ this }})
    {%- endif %}
    qualify row_number() over (
        partition by {{ key }}
        order by loaded_at desc, load_id desc, record_index desc
    ) = 1
{%- endmacro %}
