{% macro lookback_start() %}
    {#-
        The start of the look-back window, as a literal because BigQuery prunes partitions only by
        constants: `lookback_hours` before the newest row that all tables with the meta `pruned_by`
        hold, so that no load is skipped after an outage or a run that failed half-way; 1970 if one
        of the tables is missing, empty or to be rebuilt. The window includes a load that was held
        back and accepted since. It never starts before the last `dev_days`, if that var is set. One
        query serves the whole run: the nodes of a run share `graph`.
    -#}
    {%- set days = keep_days('dev_days') or 0 -%}
    {%- if days and target.name == 'prod' -%}
        {{ exceptions.raise_compiler_error(
            "the var `dev_days` is " ~ days ~ ", but builds for target prod read all loads: unset it"
        ) }}
    {%- endif -%}
    {%- set first = as_literal(run_started_at - modules.datetime.timedelta(days=days)) -%}
    {%- set oldest = first if days else "timestamp '1970-01-01 00:00:00+00'" -%}
    {%- if not execute or flags.FULL_REFRESH -%}
        {{ return(oldest) }}
    {%- endif -%}
    {%- if 'lookback_start' not in graph -%}
        {%- set tables = [] -%}
        {%- for node in graph.nodes.values() if node.config.meta.pruned_by -%}
            {%- do tables.append(
                load_relation(api.Relation.create(node.database, node.schema, node.alias))
            ) -%}
        {%- endfor -%}
        {%- set newest = namespace(start=none) -%}
        {#- The newest rows are in the last days, or before that after an outage. -#}
        {%- for since in [var('tested_from'), oldest] if none not in tables and not newest.start -%}
            {%- set newest.start = run_query(lookback_query(tables, since)).columns[0][0] -%}
        {%- endfor -%}
        {%- set start = [as_literal(newest.start), oldest] | max if newest.start else oldest -%}
        {%- do graph.update({'lookback_start': start}) -%}
    {%- endif -%}
    {{ return(graph['lookback_start']) }}
{% endmacro %}

{% macro lookback_query(tables, since) %}
    with newest as (
        {%- for table in tables %}
        select max(loaded_at) as loaded_at from {{ table }} where loaded_at >= {{ since }}
        {%- if not loop.last %} union all {%- endif %}
        {%- endfor %}
    ),
    lookback as (
        select timestamp_sub(min(loaded_at), interval {{ var('lookback_hours') }} hour) as start
        from newest
        having count(loaded_at) = {{ tables | length }}
    )
    -- the users of a load are in raw since it began to land
    select min(least(start, if(decision = 'accepted' and decided_at >= start, started_at, start)))
    from lookback cross join {{ source('randomuser', 'loads') }}
{% endmacro %}

{% macro as_literal(time) %}
    {{ return("timestamp '" ~ time.strftime("%Y-%m-%d %H:%M:%S.%f+00") ~ "'") }}
{% endmacro %}
