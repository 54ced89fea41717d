{% macro loads_of(source_name, records, shares={}, most_common={}) %}
    {#-
        The mart of the loads of a source, whose records are in base_SOURCE__RECORDS. Columns that
        only this source has: `shares`, the share of records with a condition, and `most_common`,
        the share of records with the most common value of an expression; by the column's name.
    -#}
    {{- config(
        unique_key='load_id',
        partition_by=none,
        meta={'pruned_by': none, 'source': source_name, 'records': records},
        grants=grants_to('readers'),
    ) -}}
    {%- set kept_days = [keep_days('keep_raw_days'), keep_days('keep_base_days')] | select | list -%}
    {%- if kept_days -%}
        {#- A rebuild would lose what became of the loads whose records have expired. -#}
        {{- config(full_refresh=false) -}}
    {%- endif -%}
    {%- set ledger = source(source_name, 'loads') -%}
    {%- set names = shares | list + most_common | list -%}
    {%- set new = uncounted_loads(ledger, records) -%}
    with

    ledger as (

        select
            load_id,
            source,
            api_version,
            started_at,
            loaded_at,
            {{ records }}_received,
            {{ records }}_landed,
            {{ records }}_forgotten,
            decision,
            decided_at
        from {{ ledger }}

    ),

    records as (

        select * from {{ ref('base_' ~ source_name ~ '__' ~ records) }}
        where loaded_at >= {{ new.start }}

    ),

    counted as (

        select
            load_id,
            {%- for name, condition in shares.items() %}
            countif({{ condition }}) / count(*) as {{ name }},
            {%- endfor %}
            count(*) as records,
            count(rejection_reason) as rejected
        from records
        group by load_id

    ),

    rejected as (

        select
            load_id,
            rejection_reason,
            count(*) as records
        from records
        where rejection_reason is not null
        group by load_id, rejection_reason

    ),

    reasons as (

        select
            load_id,
            string_agg(
                concat(rejection_reason, ' (', cast(records as string), ')'),
                '; ' order by records desc, rejection_reason asc
            ) as rejection_reasons
        from rejected
        group by load_id

    ),

    {% if most_common -%}
    grouped as (

        select
            load_id,
            share,
            case share
                {%- for name, value in most_common.items() %}
                when '{{ name }}' then {{ value }}
                {%- endfor %}
            end as value,
            count(*) as records
        from records
        cross join unnest({{ most_common | list | tojson }}) as share
        group by load_id, share, value

    ),

    most_common as (

        select
            load_id,
            {%- for name in most_common %}
            max(if(share = '{{ name }}', records, null)) as {{ name }}{{ ',' if not loop.last }}
            {%- endfor %}
        from grouped
        group by load_id

    ),

    {% endif -%}
    -- once, when base has the load: what a load was does not change when its records are forgotten
    counts as (

        select
            ledger.load_id,
            current_timestamp() as built_at,
            if(ledger.{{ records }}_landed = 0, 0, counted.records - counted.rejected)
                as {{ records }}_accepted,
            if(ledger.{{ records }}_landed = 0, 0, counted.rejected) as {{ records }}_rejected,
            {%- for name in shares %}
            counted.{{ name }},
            {%- endfor %}
            {%- for name in most_common %}
            most_common.{{ name }} / counted.records as {{ name }},
            {%- endfor %}
            reasons.rejection_reasons
        from ledger
        left join counted
            on ledger.load_id = counted.load_id
        left join reasons
            on ledger.load_id = reasons.load_id
        {%- if most_common %}
        left join most_common
            on ledger.load_id = most_common.load_id
        {%- endif %}
        where
            (
                counted.load_id is not null
                or ledger.{{ records }}_landed = 0
                {%- if kept_days %}
                or ledger.loaded_at < timestamp_sub(
                    current_timestamp(), interval {{ kept_days | min }} day
                )
                {%- endif %}
            )
        {%- if new.kept %}
            and ledger.load_id not in (select load_id from {{ this }} where {{ new.kept }})

        union all

        select
            load_id,
            built_at,
            {{ records }}_accepted,
            {{ records }}_rejected,
            {%- for name in names %}
            {{ name }},
            {%- endfor %}
            rejection_reasons
        from {{ this }}
        where {{ new.kept }}
        {%- endif %}

    )

    select
        ledger.load_id,
        case
            when ledger.decision = 'set aside' then 'set aside'
            when counts.load_id is null then 'not built'
            when counts.{{ records }}_accepted is null then 'expired'
            when
                ledger.decision = 'accepted'
                or counts.{{ records }}_rejected
                <= ledger.{{ records }}_received * {{ var('rejected_share') }}
                then 'used'
            else 'held back'
        end as state,
        ledger.{{ records }}_received,
        counts.{{ records }}_accepted,
        counts.{{ records }}_rejected,
        counts.rejection_reasons,
        ledger.decision,
        ledger.decided_at,
        ledger.started_at,
        ledger.loaded_at,
        counts.built_at,
        timestamp_diff(ledger.loaded_at, ledger.started_at, millisecond) / 1000 as seconds,
        ledger.{{ records }}_landed,
        coalesce(ledger.{{ records }}_forgotten, 0) as {{ records }}_forgotten,
        {%- for name in names %}
        counts.{{ name }},
        {%- endfor %}
        ledger.source,
        ledger.api_version
    from ledger
    left join counts
        on ledger.load_id = counts.load_id
    {%- if is_incremental() %}
    left join {{ this }} as known
        on ledger.load_id = known.load_id
    where
        known.load_id is null
        or known.{{ records }}_landed != ledger.{{ records }}_landed
        or known.built_at is distinct from counts.built_at
        or known.decided_at is distinct from ledger.decided_at
    {%- endif %}
{%- endmacro %}
