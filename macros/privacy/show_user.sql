{% macro show_user(email=none, user_id=none, credentials=[], output='text') %}
    {%- set tables = personal_tables(['table', 'view']) -%}
    {%- set columns, secret = {}, [] -%}
    {%- for table in tables.users + tables.addresses -%}
        {%- set shown = [] -%}
        {%- for name, column in table.columns.items() -%}
            {%- do secret.append(name) if column.class == 'credential' -%}
            {#- dbt writes what a macro prints to its log, if it writes one. -#}
            {%- do shown.append(name) if column.class == 'public' or is_private()
                and (column.class == 'personal' or name in credentials) -%}
        {%- endfor -%}
        {%- do table.update({'shown': shown}) -%}
        {%- do columns.update({table.name: table.columns}) -%}
    {%- endfor -%}
    {%- if email and user_id or (email or user_id) is not string or not (email or user_id) | trim
        or user_id and not is_uuid(user_id) -%}
        {{ exceptions.raise_compiler_error(
            "show_user: pass either `email` or `user_id`, as text in quotes; an id is a UUID. Nothing"
            ~ " was read"
        ) }}
    {%- endif -%}
    {%- if output not in ['text', 'json'] or credentials is string or credentials is not sequence
        or credentials | reject('in', secret) | list -%}
        {{ exceptions.raise_compiler_error(
            "show_user: `output` is text or json, `credentials` a list of "
            ~ secret | unique | join(', ') ~ ". Nothing was read"
        ) }}
    {%- endif -%}
    {%- if output == 'json' and not is_private() -%}
        {{ exceptions.raise_compiler_error(
            "show_user: dbt would write the JSON to its log, too: run `dbt --quiet --log-level-file"
            ~ " none --no-write-json run-operation show_user ...`. Nothing was read"
        ) }}
    {%- endif -%}
    {%- set rows = run_query(_show_script(tables, [email] if email else [], user_id)).rows -%}
    {%- set users = rows[0].users if rows else 0 -%}
    {%- if output == 'json' and rows and (users > 1 or rows[0].has_unknown) -%}
        {{ exceptions.raise_compiler_error(
            "show_user: " ~ users ~ " users have or had this e-mail address"
            ~ (", and rows without an id, perhaps of others" if rows[0].has_unknown else "")
            ~ ". Run it with `output: text` to see them all, then with the `user_id` of the one who"
            ~ " asks. Nothing was printed"
        ) }}
    {%- endif -%}
    {{- _print_json(columns, rows) if output == 'json'
        else _print_text(columns, rows, users, email, tables.failures + tables.others) -}}
{% endmacro %}

{% macro _print_json(columns, rows) %}
    {#- Put together from the JSON of BigQuery: dbt would write each letter that is not ASCII as \u. -#}
    {%- set parts = [] -%}
    {%- for name, of_table in rows | groupby('name') -%}
        {%- do parts.append(
            tojson({'table': name, 'columns': columns.get(name, {})})[:-1]
            ~ ', "rows": [' ~ of_table | map(attribute='row') | join(', ') ~ ']}'
        ) -%}
    {%- endfor -%}
    {{- print('[' ~ parts | join(',\n') ~ ']') -}}
{% endmacro %}

{% macro _print_text(columns, rows, users, email, others) %}
    {%- set lines = ["users who have or had this e-mail address: " ~ users
        ~ (", and rows without an id, perhaps of others" if rows and rows[0].has_unknown else "")
        if email] | select | list -%}
    {%- for name, of_table in rows | groupby('name') -%}
        {%- for row in of_table -%}
            {%- do lines.append("\n" ~ name ~ ", row " ~ loop.index ~ " of " ~ loop.length) -%}
            {%- set values = fromjson(row.row) -%}
            {%- for column, value in values.items() -%}
                {%- set class = columns.get(name, {}).get(column, {}).class or 'public' -%}
                {%- set text = 'null' if value is none else value -%}
                {%- do lines.append("  %-22s%-12s%s" | format(column, class, text)) -%}
            {%- endfor -%}
            {%- set hidden = columns.get(name, {}) | reject('in', values) | join(', ') -%}
            {%- do lines.append("  not shown: " ~ hidden) if hidden -%}
        {%- endfor -%}
    {%- else -%}
        {%- do lines.append("no table has a row of this user") -%}
    {%- endfor -%}
    {%- if not is_private() -%}
        {%- do lines.append(
            "\nPersonal values are not shown, because dbt would write them to its log: run `dbt"
            ~ " --log-level-file none --no-write-json run-operation show_user ...`"
        ) -%}
    {%- endif -%}
    {%- for table in others -%}
        {%- do lines.append("not searched: " ~ table.name) -%}
    {%- endfor -%}
    {{- print(lines | join('\n')) -}}
{% endmacro %}

{% macro _show_script(tables, emails, user_id) %}
    {%- set ids = "array(select distinct id from (" ~ users_of_emails(tables, emails)
        ~ ") where id is not null)" if emails else tojson([user_id | trim | lower]) -%}
    {%- set loads, forgotten = source('randomuser', 'loads'), source('randomuser', 'forgotten') -%}
    {{ declare_users(ids) }}
    {{ find_users(tables, emails) }}
    select
        name,
        array_length(ids) as users,
        exists (
            select 1 from unnest(found) as row where ifnull(row.id not in unnest(ids), true)
        ) as has_unknown,
        loaded_at,
        row
    from (
        {%- for table in tables.users + tables.addresses %}
        select
            '{{ table.name }}' as name,
            {{ 'loaded_at' if table.is_dated else 'timestamp(null)' }} as loaded_at,
            to_json_string(row) as row
        from (
            select {{ table.shown | join(', ') }} from {{ table.relation }}
            where {{ rows_of(table, emails) }}
        ) as row
        union all
        {%- endfor %}
        select '{{ loads.schema }}.{{ loads.identifier }}', loaded_at, to_json_string(row)
        from (
            select
                ledger.load_id,
                ledger.source,
                ledger.loaded_at,
                coalesce(loads.state, 'not built') as state
            from {{ loads }} as ledger
            left join {{ relation_of('loads') }} as loads
                on ledger.load_id = loads.load_id
            where ledger.load_id in unnest(load_ids)
        ) as row
        union all
        select
            '{{ forgotten.schema }}.{{ forgotten.identifier }}', forgotten_at, to_json_string(row)
        from (
            select user_hash, forgotten_at from {{ forgotten }}
            where user_hash in (select {{ user_hash('id', 'randomuser') }} from unnest(ids) as id)
        ) as row
    )
    order by name, loaded_at
{% endmacro %}
