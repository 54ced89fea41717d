{% macro lookback_start(with_accepted=false) %}
    {#-
        Where the model begins to read, as a literal, because BigQuery prunes partitions by
        constants alone. It is counted from the newest row that the model itself holds, not from
        now: after an outage of any length, or a run that failed half-way, nothing is passed over.
        Nor is a load that was held back and has been accepted since: `with_accepted` goes back to
        it.
    -#}
    {%- set ever = "timestamp '1970-01-01 00:00:00+00'" -%}
    {%- if not execute or should_full_refresh() or load_relation(this) is none -%}
        {{ return(ever) }}
    {%- endif -%}
    {#- The newest row is looked for in the last days, and in all of the table after an outage. -#}
    {%- for since in [tested_from(), ever] -%}
        {%- set known -%}
            select timestamp_sub(max(loaded_at), interval {{ var('lookback_hours') }} hour) as start
            from {{ this }} where loaded_at >= {{ since }}
        {%- endset -%}
        {%- set with_loads -%}
            select min(least(
                start, if(decision = 'accepted' and decided_at >= start, loaded_at, start)
            ))
            from ({{ known }}) cross join {{ source('randomuser', 'loads') }}
        {%- endset -%}
        {%- set start = run_query(with_loads if with_accepted else known).columns[0][0] -%}
        {%- if start -%}
            {{ return("timestamp '" ~ start.strftime("%Y-%m-%d %H:%M:%S.%f+00") ~ "'") }}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ever) }}
{% endmacro %}
