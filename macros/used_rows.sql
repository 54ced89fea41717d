{% macro used_rows(relation) %}
    {#-
        What a mart has to read: the rows from the look-back on, without those of loads that are
        held back or set aside. The literal stands in both places, so that both are pruned by it.
    -#}
    {%- set start = lookback_start(with_accepted=true) -%}
    select * from {{ relation }}
    where
        loaded_at >= {{ start }}
        and load_id not in (
            select load_id from {{ ref('stg_randomuser__loads') }}
            where
                loaded_at >= {{ start }}
                and not is_used
        )
{%- endmacro %}
