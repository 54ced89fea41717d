{% macro newest(key) %}
    {#- The rows that a mart has to read, and of each key the one that landed last. -#}
    {%- if is_incremental() %}
    where loaded_at >= (select max(loaded_at) - interval 6 hour from {{ this }})
    {%- endif %}
    qualify row_number() over (
        partition by {{ key }}
        order by loaded_at desc, load_id desc, record_index desc
    ) = 1
{%- endmacro %}
