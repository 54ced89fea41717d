{% macro forget_script(ids, tables, dry_run) %}
    {#-
        The script that counts the rows of users and, unless it is a dry run, deletes them in one
        transaction: BigQuery ends it completely or not at all, also if dbt is killed. `landed`
        prunes all tables, because a row of a mart has the time of its load, and `raw_from` prunes
        raw. Base comes last: it tells when a user landed and where a user lives.
    -#}
    {%- set base = _relation_of('base_randomuser__users') -%}
    {%- set is_used = "load_id in (select load_id from " ~ _relation_of('loads')
        ~ " where state = 'used')" -%}
    {%- set raw = source('randomuser', 'users') | string -%}
    {%- set loads, forgotten = source('randomuser', 'loads'), source('randomuser', 'forgotten') -%}
    {%- if base not in tables.users | map(attribute='relation') -%}
        {{ exceptions.raise_compiler_error(
            "forget_users: there is no " ~ base ~ ": run `dbt build` first; nothing was deleted"
        ) }}
    {%- endif -%}
    {%- set users = tables.users | rejectattr('relation', 'equalto', base) | list
        + tables.users | selectattr('relation', 'equalto', base) | list -%}
    {%- set raw_user = (users | selectattr('relation', 'equalto', raw) | first).user -%}
    {#- Base finds the users in raw that it has parsed; all of raw is searched where base expires or
        may be of the last `dev_days`. -#}
    {%- set is_whole = target.name == 'prod' and not var('keep_base_days') -%}
    {%- set first = run_query(
        "select min(started_at) from " ~ loads ~ " where load_id not in (select load_id from "
        ~ _relation_of('loads') ~ " where built_at is not null)"
    ).columns[0][0] if is_whole -%}
    {%- set unparsed = as_literal(first) if first else "timestamp '1970-01-01 00:00:00+00'" -%}
    {%- set dated = users | selectattr('is_dated') | list -%}
    {%- set all = tables.failures + tables.addresses + users -%}
    declare ids array<string> default {{ tojson(ids) }};
    declare found array<struct<load_id string, loaded_at timestamp, id string>>;
    declare landed array<timestamp>;
    declare load_ids, addresses, shared array<string>;
    declare raw_from timestamp;
    declare deleted string;
    declare travel_days int64 default ({{ _time_travel_days(tables.schemas) }});
    begin transaction;
    set found = array(
        select as struct load_id, loaded_at, id
        from (
            {%- for table in dated %}
            select load_id, loaded_at, {{ table.user }} as id from {{ table.relation }}
            where {{ table.user }} in unnest(ids)
            {%- if table.relation == raw %} and loaded_at >= {{ unparsed }}{% endif %}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        group by load_id, loaded_at, id
    );
    set landed = array(select distinct row.loaded_at from unnest(found) as row);
    set load_ids = array(select distinct row.load_id from unnest(found) as row);
    -- the rows of a load are in raw since it started to land, before its row in the ledger
    set raw_from = least(
        (select min(row.loaded_at) from unnest(found) as row),
        (
            select coalesce(min(started_at), current_timestamp())
            from {{ loads }} where load_id in unnest(load_ids)
        )
    );
    set addresses = array(
        select distinct address
        from (
            {%- for table in dated | selectattr('address', 'defined') %}
            select {{ table.address }} as address from {{ table.relation }}
            where {{ _rows_of(table) }}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        where address is not null
    );
    set shared = array(
        select distinct location_id
        from (
            select user_id, location_id from {{ base }}
            where rejection_reason is null and {{ is_used }}
            union all
            select user_id, location_id from {{ _relation_of('users') }}
        )
        where location_id in unnest(addresses) and user_id not in unnest(ids)
    );
    set deleted = (
        select concat(
            '{', coalesce(string_agg(format('"%s": %d', name, users), ', ' order by name), ''), '}'
        )
        from (
            {%- for table in all %}
            select '{{ table.name }}' as name, count(*) as users
            from {{ table.relation }} where {{ _rows_of(table) }}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        where users > 0
    );
    {%- if not dry_run %}
    insert into {{ forgotten }} (user_hash, forgotten_at, receipt)
    select user_hash, current_timestamp(), deleted
    from (select {{ user_hash('id') }} as user_hash from unnest(ids) as id)
    where deleted != '{}' or user_hash not in (select user_hash from {{ forgotten }});
    -- before the rows go: a ledger that has left them out already is not changed again
    update {{ loads }} as ledger
    set
        users_landed = ledger.users_landed - gone.users,
        users_forgotten = coalesce(ledger.users_forgotten, 0) + gone.users
    from (
        select
            load_id,
            count(*) as users_in_raw,
            countif({{ raw_user }} in unnest(ids)) as users
        from {{ raw }}
        where loaded_at >= raw_from and load_id in unnest(load_ids)
        group by load_id
    ) as gone
    where ledger.load_id = gone.load_id and ledger.users_landed = gone.users_in_raw;
    {%- for table in tables.addresses %}
    if array_length(shared) > 0 then
    -- the address gets the row of the user who landed last before
    merge into {{ table.relation }} as known
    using (
        select * from {{ base }}
        where
            location_id in unnest(shared)
            and user_id not in unnest(ids)
            and rejection_reason is null
            and {{ is_used }}
        qualify row_number() over (
            partition by location_id order by loaded_at desc, load_id desc, record_index desc
        ) = 1
    ) as newest
        on known.location_id = newest.location_id
    when matched then update set
        {%- for column in table.columns %}
        {{ column }} = newest.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %};
    end if;
    {%- endfor %}
    {%- for table in all %}
    delete from {{ table.relation }} where {{ _rows_of(table) }};
    {%- endfor %}
    {%- endif %}
    commit transaction;
    select
        deleted as receipt,
        (select count(distinct row.id) from unnest(found) as row) as users_found,
        (select string_agg({{ user_hash('id') }}, ' ') from unnest(ids) as id) as user_hashes,
        date_add(current_date(), interval travel_days day) as travels_until,
        date_add(current_date(), interval travel_days + 7 day) as restored_until
{% endmacro %}

{% macro _rows_of(table) %}
    {#- The condition for the rows that go; a stored failure may hold any value of any user. -#}
    {%- if table.user -%}
        {%- if table.relation == source('randomuser', 'users') | string -%}
            loaded_at >= raw_from and load_id in unnest(load_ids) and{{ ' ' }}
        {%- elif table.is_dated -%}
            loaded_at in unnest(landed) and{{ ' ' }}
        {%- endif -%}
        {{ table.user }} in unnest(ids)
    {%- elif table.address -%}
        {{ table.address }} in unnest(addresses) and {{ table.address }} not in unnest(shared)
    {%- else -%}
        true
    {%- endif -%}
{% endmacro %}

{% macro _relation_of(model) %}
    {#- Not by ref(): staging is private, and dbt allows the reference only in a model. -#}
    {{ return(graph.nodes['model.randomuser.' ~ model].relation_name) }}
{% endmacro %}
