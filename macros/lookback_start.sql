{% macro lookback_start() %}
    {#-
        Where a run begins to read, as a literal, because BigQuery prunes partitions by constants
        alone: `lookback_hours` before the newest row that every table with the meta `pruned_by`
        holds, so that after an outage of any length, or a run that failed half-way, nothing is
        passed over; 1970 where one of them is missing, empty or to be rebuilt. It goes back to a
        load that was held back and has been accepted since. One query gives it for the whole run;
        `graph` is what the nodes of a run share.
    -#}
    {%- set ever = "timestamp '1970-01-01 00:00:00+00'" -%}
    {%- if not execute or flags.FULL_REFRESH -%}
        {{ return(ever) }}
    {%- endif -%}
    {%- if 'lookback_start' not in graph -%}
        {%- set tables = [] -%}
        {%- for node in graph.nodes.values() if node.config.meta.pruned_by -%}
            {%- do tables.append(
                load_relation(api.Relation.create(node.database, node.schema, node.alias))
            ) -%}
        {%- endfor -%}
        {%- set found = namespace(start=none) -%}
        {#- The newest rows are looked for in the last days, and in all after an outage. -#}
        {%- for since in [var('tested_from'), ever] if none not in tables and not found.start -%}
            {%- set found.start = run_query(lookback_query(tables, since)).columns[0][0] -%}
        {%- endfor -%}
        {%- do graph.update({'lookback_start': as_literal(found.start) if found.start else ever}) -%}
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
    select min(least(start, if(decision = 'accepted' and decided_at >= start, loaded_at, start)))
    from lookback cross join {{ source('randomuser', 'loads') }}
{% endmacro %}

{% macro as_literal(time) %}
    {{ return("timestamp '" ~ time.strftime("%Y-%m-%d %H:%M:%S.%f+00") ~ "'") }}
{% endmacro %}
