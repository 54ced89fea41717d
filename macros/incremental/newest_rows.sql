{% macro newest_rows(relation, key, loads) %}
    {#-
        The rows that a mart has to merge: for each key the newest version of the used loads, unless
        the mart has it already. A row with an empty `load_id` makes the merge delete its key:
        the version in the mart is of a load that was set aside, and no used load has the key.

        Where rows of raw or base expire, a mart has rows that a rebuild would lose: with
        `--full-refresh` it is not rebuilt, but all versions that are kept are merged anew.
    -#}
    {%- if var('keep_raw_days') or var('keep_base_days') -%}
        {{- config(full_refresh=false) -}}
    {%- endif -%}
    {%- set new = new_versions(loads) -%}
    with

    {% if is_incremental() -%}
    known as (

        select
            {{ key }},
            load_id,
            load_id in (
                select set_aside.load_id from {{ loads }} as set_aside
                where set_aside.state = 'set aside'
            ) as is_undone
        from {{ this }}
        where loaded_at >= {{ [new.start, new.undone_from or new.start] | min }}

    ),

    {% endif -%}
    versions as (

        select
            versions.*,
            loads.state = 'used' as is_used
        from {{ relation }} as versions
        inner join {{ loads }} as loads
            on versions.load_id = loads.load_id
        where
            {% if new.undone_from -%}
            -- what replaces the versions of a load that was set aside may be of any age
            versions.{{ key }} in (select known.{{ key }} from known where known.is_undone)
            or {% endif -%}
            versions.loaded_at >= {{ new.start }}

    ),

    newest as (

        select * from versions
        {%- if not is_incremental() %}
        where is_used
        {%- endif %}
        qualify row_number() over (
            partition by {{ key }}
            order by is_used desc, loaded_at desc, load_id desc, record_index desc
        ) = 1

    )

    {% if not is_incremental() -%}
    select * except (record_index, is_used) from newest
    {%- else -%}
    select
        newest.* except (record_index, is_used)
        replace (if(newest.is_used, newest.load_id, '') as load_id)
    from newest
    left join known
        on newest.{{ key }} = known.{{ key }}
    where
        if(
            newest.is_used,
            {{ 'true' if flags.FULL_REFRESH else 'newest.load_id is distinct from known.load_id' }},
            known.is_undone
        )
    {%- endif %}
{%- endmacro %}
