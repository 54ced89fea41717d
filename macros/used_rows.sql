{% macro used_rows(relation) %}
    {#- What a mart has to read: the rows from the look-back on, of the loads that are used. -#}
    {%- set start = lookback_start(with_accepted=true) -%}
    select * from {{ relation }}
    where
        loaded_at >= {{ start }}
        and load_id not in (select load_id from ({{ unused_loads(start) }}))
{%- endmacro %}
