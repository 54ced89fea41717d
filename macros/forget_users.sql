{% macro forget_users(user_ids, dry_run=false) %}
    {#-
        Deletes users from all tables of the project, and keeps a hash of each, by which the loader
        leaves them out. It prints a receipt without the ids.
    -#}
    {%- if not user_ids or user_ids is string or user_ids is mapping or user_ids is not sequence
        or user_ids | reject('string') | list or '' in user_ids | map('trim') -%}
        {{ exceptions.raise_compiler_error(
            "forget_users: user_ids must be a list of ids in quotes, such as "
            ~ "{user_ids: ['0a0a0a0a-0000-4000-8000-000000000000']}; nothing was deleted"
        ) }}
    {%- endif -%}
    {%- set ids = user_ids | map('trim') | map('lower') | unique | list -%}
    {%- set tables = personal_tables() -%}
    {%- set receipt = run_query(forget_script(ids, tables, dry_run)).rows[0] -%}
    {%- set lines = ["rows that would be deleted" if dry_run else "rows deleted"] -%}
    {%- for name, rows in fromjson(receipt['receipt']).items() -%}
        {%- do lines.append("  " ~ "{:>9,}".format(rows) ~ "  " ~ name) -%}
    {%- else -%}
        {%- do lines.append("  none") -%}
    {%- endfor -%}
    {%- if receipt['users_found'] < ids | length -%}
        {%- do lines.append(
            "users in no table: " ~ (ids | length - receipt['users_found'] | int)
            ~ " (forgotten before, or check the ids)"
        ) -%}
    {%- endif -%}
    {%- do lines.append("hashes of the users, kept in " ~ source('randomuser', 'forgotten')) -%}
    {%- do lines.append("  " ~ receipt['user_hashes']) -%}
    {%- do lines.append(
        "BigQuery can restore deleted rows until " ~ receipt['travels_until'] ~ " (time travel), "
        ~ "its support until " ~ receipt['restored_until'] ~ " (fail-safe)"
    ) -%}
    {%- do lines.append(
        "not deleted here: files in exports/ (run `python -m publish csv` again), datasets of the "
        ~ "targets dev and ci, the ids in the log of this command and in BigQuery's job history"
    ) -%}
    {%- for table in tables.others -%}
        {%- do lines.append("not deleted here: " ~ table.name ~ ", which is not of this project") -%}
    {%- endfor -%}
    {{- print(lines | join('\n')) -}}
{% endmacro %}

{% macro forget_script(ids, tables, dry_run) %}
    {#-
        The script that counts the rows of users and, unless it is a dry run, deletes them in one
        transaction: BigQuery ends it completely or not at all, also if dbt is killed. `landed`
        prunes all tables, because a row of a mart has the time of its load. Base comes last: it
        tells when a user landed and where a user lives.
    -#}
    {#- Not by ref(): dbt allows it in models alone, because staging is private. -#}
    {%- set base = graph.nodes['model.randomuser.base_randomuser__users'].relation_name -%}
    {%- set staged_users = graph.nodes['model.randomuser.stg_randomuser__users'].relation_name -%}
    {%- set staged = graph.nodes['model.randomuser.stg_randomuser__locations'].relation_name -%}
    {%- set raw = source('randomuser', 'users') | string -%}
    {%- set loads, forgotten = source('randomuser', 'loads'), source('randomuser', 'forgotten') -%}
    {%- set users = tables.users | rejectattr('relation', 'equalto', base) | list
        + tables.users | selectattr('relation', 'equalto', base) | list -%}
    {%- set raw_user = (users | selectattr('relation', 'equalto', raw) | first).user -%}
    {%- set epoch = "timestamp '1970-01-01 00:00:00+00'" -%}
    {%- set dated = users | selectattr('is_dated') | list -%}
    {%- set all = tables.failures + tables.addresses + users -%}
    declare ids array<string> default [
        {%- for id in ids %}{{ tojson(id) }}{{ ', ' if not loop.last }}{% endfor -%}
    ];
    declare found array<struct<loaded_at timestamp, id string>>;
    declare landed array<timestamp>;
    declare addresses array<string>;
    declare shared array<string>;
    declare receipt string;
    declare days int64 default ({{ _time_travel_days(tables.schemas) }});
    begin transaction;
    set found = array(
        select as struct loaded_at, id
        from (
            {%- for table in dated %}
            select loaded_at, {{ table.user }} as id from {{ table.relation }}
            where {{ table.user }} in unnest(ids)
            {%- if table.relation == raw %} and loaded_at >= {{ lookback_start() }}{% endif %}
            {%- if not loop.last %} union all{% endif %}
            {%- endfor %}
        )
        group by loaded_at, id
    );
    set landed = array(select distinct row.loaded_at from unnest(found) as row);
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
            select user_id, location_id from {{ staged_users }}
            union all
            select user_id, location_id from {{ ref('users') }}
        )
        where location_id in unnest(addresses) and user_id not in unnest(ids)
    );
    set receipt = (
        select concat('{', coalesce(string_agg(
            concat('"', name, '": ', cast(users as string)), ', ' order by name
        ), ''), '}')
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
    select user_hash, current_timestamp(), receipt
    from (select {{ user_hash('id') }} as user_hash from unnest(ids) as id)
    where receipt != '{}' or user_hash not in (select user_hash from {{ forgotten }});
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
        where loaded_at in unnest(landed)
        group by load_id
    ) as gone
    where ledger.load_id = gone.load_id and ledger.users_landed = gone.users_in_raw;
    {%- for table in tables.addresses %}
    -- somebody else lives there: the row of the user who landed last before
    merge into {{ table.relation }} as known
    using (
        select * from {{ staged }} as versions
        where
            location_id in unnest(shared)
            and load_id not in (select load_id from ({{ unused_loads(epoch, base) }}))
            and not exists (
                select 1 from {{ base }} as own
                where
                    own.user_id in unnest(ids)
                    and own.load_id = versions.load_id
                    and own.record_index = versions.record_index
            )
        qualify row_number() over (
            partition by location_id order by loaded_at desc, load_id desc, record_index desc
        ) = 1
    ) as newest
        on known.location_id = newest.location_id
    when matched then update set
        {%- for column in table.columns %}
        {{ column }} = newest.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %};
    {%- endfor %}
    {%- for table in all %}
    delete from {{ table.relation }} where {{ _rows_of(table) }};
    {%- endfor %}
    {%- endif %}
    commit transaction;
    select
        receipt,
        (select count(distinct row.id) from unnest(found) as row) as users_found,
        (select string_agg({{ user_hash('id') }}, ' ') from unnest(ids) as id) as user_hashes,
        date_add(current_date(), interval days day) as travels_until,
        date_add(current_date(), interval days + 7 day) as restored_until
{% endmacro %}

{% macro _rows_of(table) %}
    {#- The condition for the rows that go; a stored failure may hold any value of any user. -#}
    {%- if table.user -%}
        {{ 'loaded_at in unnest(landed) and ' if table.is_dated }}{{ table.user }} in unnest(ids)
    {%- elif table.address -%}
        {{ table.address }} in unnest(addresses) and {{ table.address }} not in unnest(shared)
    {%- else -%}
        true
    {%- endif -%}
{% endmacro %}
