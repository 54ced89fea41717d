{% macro newest_rows(relation, key) %}
    {#-
        The rows that a mart has to merge: for each key the newest row of the used loads, unless the
        mart has that row already.

        Where rows of raw or base expire, a mart has users that a rebuild would lose: with
        `--full-refresh` it is not rebuilt, but loses the rows of unused loads, and the rows that
        are kept are merged anew.
    -#}
    {%- if var('keep_raw_days') or var('keep_base_days') -%}
        {{- config(full_refresh=false, pre_hook='{{ delete_unused_rows() }}') -}}
    {%- endif -%}
    {%- set start = lookback_start() -%}
    with

    newest as (

        select * from {{ relation }}
        where
            loaded_at >= {{ start }}
            and load_id not in (select load_id from ({{ unused_loads(start) }}))
        qualify row_number() over (
            partition by {{ key }}
            order by loaded_at desc, load_id desc, record_index desc
        ) = 1

    )

    select newest.* except (record_index) from newest
    {%- if is_incremental() and not flags.FULL_REFRESH %}
    left join {{ this }} as known
        on
            newest.{{ key }} = known.{{ key }}
            and newest.load_id = known.load_id
            and known.loaded_at >= {{ start }}
    where known.{{ key }} is null
    {%- endif %}
{%- endmacro %}

{% macro delete_unused_rows() %}
    {%- if flags.FULL_REFRESH and is_incremental() -%}
    delete from {{ this }}
    where load_id in (select load_id from ({{ unused_loads(lookback_start()) }}))
    {%- endif -%}
{% endmacro %}
