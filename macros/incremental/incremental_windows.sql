{% macro new_loads(ledger) %}
    {#-
        For a model that reads raw: which loads of the ledger it does not have, as two literals,
        because BigQuery prunes partitions only by constants. Loads that landed in the ledger from
        `ledger_from` on can be new, and all rows of the new ones landed in raw from `raw_from` on.
        A statement can be visible some hours after its time: `lookback_hours` are read again.
    -#}
    {%- set oldest = oldest_start() -%}
    {%- if not execute or not is_incremental() -%}
        {{ return({'ledger_from': oldest, 'raw_from': oldest}) }}
    {%- endif -%}
    {#- Before 0.3 a row had the time of raw, not that of the ledger: the two must not mix. -#}
    {%- if 'structure' not in adapter.get_columns_in_relation(this) | map(attribute='name') -%}
        {{ exceptions.raise_compiler_error(
            this ~ " is of an earlier version: upgrade it as docs/upgrade.md says"
        ) }}
    {%- endif -%}
    {%- set rows = _query_newest("
        select
            min(newest.start) as start,
            min(if(ledger.loaded_at >= newest.start and known.load_id is null, ledger.started_at, null))
        from newest
        cross join " ~ ledger ~ " as ledger
        left join (select distinct load_id from " ~ this ~ " where loaded_at >= {since}) as known
            on ledger.load_id = known.load_id
    ") -%}
    {%- set start = [as_literal(rows[0]), oldest] | max if rows[0] else oldest -%}
    {{ return({'ledger_from': start, 'raw_from': as_literal(rows[1]) if rows[0] else oldest}) }}
{% endmacro %}

{% macro new_versions(loads) %}
    {#-
        For a mart: which versions it can lack, as literals. A merge takes a load completely or not
        at all: versions count from the first used load on of which the mart has no row, among those
        of the look-back window and those that a person accepted since the newest row of the mart.
        If a load that is in the mart was set aside since, `undone_from` is the time of the first.
    -#}
    {%- set oldest = oldest_start() -%}
    {%- if not execute or not is_incremental() or flags.FULL_REFRESH -%}
        {{ return({'start': oldest, 'undone_from': none}) }}
    {%- endif -%}
    {%- set rows = _query_newest("
        select
            min(newest.start),
            min(if(loads.state = 'used' and known.load_id is null, loads.loaded_at, null)),
            min(if(loads.state = 'set aside', loads.loaded_at, null))
        from newest
        left join " ~ loads ~ " as loads
            on loads.loaded_at >= newest.start or loads.decided_at >= newest.start
        left join (select distinct load_id from " ~ this ~ " where loaded_at >= {since}) as known
            on loads.load_id = known.load_id
    ") -%}
    {%- set start = as_literal(rows[1]) if rows[0] else oldest -%}
    {%- set undone = as_literal(rows[2]) if rows[2] -%}
    {%- if undone and not run_query(
        "select count(*) from " ~ this ~ " where loaded_at >= " ~ undone ~ " and load_id in ("
        ~ "select load_id from " ~ loads ~ " where state = 'set aside')"
    ).columns[0][0] -%}
        {%- set undone = none -%}
    {%- endif -%}
    {{ return({'start': [start, oldest] | max, 'undone_from': undone}) }}
{% endmacro %}

{% macro _query_newest(sql) %}
    {#-
        The row of a query on `newest`, which has the start of the look-back window: `lookback_hours`
        before the newest row of this model's own table. The newest rows are in the last days, or
        before that after an outage.
    -#}
    {%- set lookback = "interval " ~ var('lookback_hours') ~ " hour" -%}
    {%- set found = namespace(row=[none, none, none]) -%}
    {%- for since in [var('tested_from'), "timestamp '1970-01-02 00:00:00+00'"] if not found.row[0] -%}
        {%- set newest = "with newest as (select timestamp_sub(max(loaded_at), " ~ lookback
            ~ ") as start from " ~ this ~ " where loaded_at >= " ~ since ~ ")" -%}
        {%- set found.row = run_query(
            newest ~ sql | replace('{since}', 'timestamp_sub(' ~ since ~ ', ' ~ lookback ~ ')')
        ).rows[0] -%}
    {%- endfor -%}
    {{ return(found.row) }}
{% endmacro %}

{% macro oldest_start() %}
    {#- What builds read at most: everything, or the last `dev_days` if that var is set. -#}
    {%- set days = keep_days('dev_days') or 0 -%}
    {%- if days and target.name == 'prod' -%}
        {{ exceptions.raise_compiler_error(
            "the var `dev_days` is " ~ days ~ ", but builds for target prod read all loads: unset it"
        ) }}
    {%- endif -%}
    {%- set first = as_literal(run_started_at - modules.datetime.timedelta(days=days)) -%}
    {{ return(first if days else "timestamp '1970-01-01 00:00:00+00'") }}
{% endmacro %}

{% macro as_literal(time) %}
    {#- No time is later than all rows, so that no partition is read if nothing is new. -#}
    {%- set text = time.strftime("%Y-%m-%d %H:%M:%S.%f+00") if time else '9999-12-31 00:00:00+00' -%}
    {{ return("timestamp '" ~ text ~ "'") }}
{% endmacro %}

{% macro uncounted_loads(ledger, records) %}
    {#-
        For a mart of loads: the time of the first load that it has not counted, a literal, and which rows
        it keeps: all that are counted; in a rebuild those of loads with forgotten records.
    -#}
    {%- set is_counted = "built_at is not null" -%}
    {%- if not execute or not is_incremental() -%}
        {%- set known = load_cached_relation(this) if execute -%}
        {%- set kept = is_counted ~ " and load_id in (select ledger.load_id from " ~ ledger
            ~ " as ledger where ledger." ~ records ~ "_forgotten > 0)" -%}
        {{ return({'start': oldest_start(), 'kept': kept if known and known.is_table else none}) }}
    {%- endif -%}
    {%- set first = run_query(
        "select min(loaded_at) from " ~ ledger ~ " where load_id not in (select load_id from "
        ~ this ~ " where " ~ is_counted ~ ")"
    ).columns[0][0] -%}
    {{ return({'start': [as_literal(first), oldest_start()] | max, 'kept': is_counted}) }}
{% endmacro %}
