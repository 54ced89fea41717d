{% macro newest(key) %}
    {#- The newest row of each key, among the rows that a mart has to read. -#}
    where true
    {%- if is_incremental() %}
    and loaded_at >= (select max(loaded_at) - interval 6 hour from {{ this }})
    {%- endif %}
    qualify row_number() over (
        partition by {{ key }} order by loaded_at desc, load_id desc, record_index desc
    ) = 1
{%- endmacro %}
