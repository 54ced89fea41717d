{% macro apply_retention() %}
    {%- set options = {} -%}
    {%- for name, kind in {'keep_raw_days': 'raw', 'keep_base_days': 'base'}.items() -%}
        {%- do check_window(name) -%}
        {%- set days = keep_days(name) or 'null' -%}
        {%- for source in list_sources() if load_relation(source.ledger) -%}
            {%- do options.update({"table " ~ source[kind]: "partition_expiration_days = " ~ days}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set hours = var('time_travel_hours') -%}
    {%- if hours not in [none, 48, 72, 96, 120, 144, 168] -%}
        {{ exceptions.raise_compiler_error(
            "the var `time_travel_hours` must be 48, 72, 96, 120, 144 or 168; it is `" ~ hours ~ "`"
        ) }}
    {%- endif -%}
    {%- for node in graph.nodes.values() | list + graph.sources.values() | list -%}
        {%- set dataset = "schema `" ~ node.database ~ "`.`" ~ node.schema ~ "`" -%}
        {%- do options.update({dataset: "max_time_travel_hours = " ~ (hours or 'null')}) -%}
    {%- endfor -%}
    {%- set expiration = failures_expiration() or 'null' -%}
    {%- for test in graph.nodes.values() if test.resource_type == 'test' -%}
        {%- set table = api.Relation.create(test.database, test.schema, test.alias) -%}
        {%- if load_relation(table) -%}
            {%- do options.update({"table " ~ table: "expiration_timestamp = " ~ expiration}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for name, option in options.items() -%}
        {%- set statement = "alter " ~ name ~ " set options (" ~ option ~ ")" -%}
        {%- do run_query(statement) -%}
        {{- print(statement) -}}
    {%- endfor -%}
{% endmacro %}

{% macro keep_days(name) %}
    {#- The number in the var `name`; none if it is not set. -#}
    {%- set days = var(name) -%}
    {%- if days is not none and (days is not integer or days < 1) -%}
        {{ exceptions.raise_compiler_error(
            "the var `" ~ name ~ "` must be a number of days from 1 on; it is `" ~ days ~ "`"
        ) }}
    {%- endif -%}
    {{ return(days) }}
{% endmacro %}

{% macro check_window(name) %}
    {#-
        Refuses a number of days in which rows expire that runs or tests still read. A partition
        expires so many days after the end of its day.
    -#}
    {%- set days = keep_days(name) -%}
    {%- set is_kept -%}
        select least(
            {{ var('tested_from') }},
            timestamp_sub(current_timestamp(), interval {{ var('lookback_hours') }} hour)
        ) >= timestamp_sub(current_timestamp(), interval {{ days }} day)
    {%- endset -%}
    {%- if days and not run_query(is_kept).columns[0][0] -%}
        {{ exceptions.raise_compiler_error(
            "the var `" ~ name ~ "` is " ~ days ~ ": rows would expire that are read since"
            ~ " `tested_from` or for `lookback_hours`; keep them a day longer than that"
        ) }}
    {%- endif -%}
{% endmacro %}

{% macro failures_expiration() %}
    {#- When a stored table of failing rows expires; none if it does not. -#}
    {%- set days = keep_days('keep_failures_days') -%}
    {%- set expiration = "timestamp_add(current_timestamp(), interval " ~ days ~ " day)" -%}
    {{ return(expiration if days else none) }}
{% endmacro %}
