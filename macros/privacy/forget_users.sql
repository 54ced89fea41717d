{% macro forget_users(user_ids=[], emails=[], exactly_one=true, dry_run=false) %}
    {%- set wrong = [] -%}
    {%- for values in [user_ids, emails] -%}
        {%- do wrong.append(values) if values is string or values is mapping or values is not sequence
            or values | reject('string') | list or '' in values | map('trim') -%}
    {%- endfor -%}
    {%- for id in user_ids if not wrong and not is_uuid(id) -%}
        {%- do wrong.append(id) -%}
    {%- endfor -%}
    {%- if wrong or not user_ids and not emails -%}
        {{ exceptions.raise_compiler_error(
            "forget_users: pass `emails`, `user_ids` or both as lists of texts in quotes, such as "
            ~ "{emails: ['ann@example.com']}. An id is a UUID. Nothing was deleted"
        ) }}
    {%- endif -%}
    {%- set tables = personal_tables() -%}
    {%- set ids = user_ids | map('trim') | map('lower') | list
        + _ids_of_emails(tables, emails, exactly_one) -%}
    {%- if not ids -%}
        {{- print("nothing was deleted") -}}
        {{ return('') }}
    {%- endif -%}
    {%- set ids = ids | unique | list -%}
    {%- set receipts = run_query(forget_script(ids, tables, dry_run)).rows -%}
    {%- set receipt = receipts[0].dict() -%}
    {%- set unknown = ids | length - receipt.users_found | int -%}
    {%- set lines = ["rows that would be deleted" if dry_run else "rows deleted"] -%}
    {%- for name, rows in fromjson(receipt.receipt).items() -%}
        {%- do lines.append("  " ~ "{:>9,}".format(rows) ~ "  " ~ name) -%}
    {%- else -%}
        {%- do lines.append("  none") -%}
    {%- endfor -%}
    {%- if unknown -%}
        {%- do lines.append("users in no table: " ~ unknown ~ ", forgotten before or of wrong ids") -%}
    {%- endif -%}
    {%- set kept = "that would be kept" if dry_run else "kept" -%}
    {%- for of_source in receipts -%}
        {%- set hashes = of_source.user_hashes.split(' ') -%}
        {%- do lines.append("hashes of the users, " ~ kept ~ " in " ~ of_source.forgotten) -%}
        {%- do lines.append("  " ~ hashes[:10] | join("\n  ")) -%}
        {%- do lines.append("  and " ~ (hashes | length - 10) ~ " more") if hashes[10:] -%}
    {%- endfor -%}
    {%- do lines.append(
        "BigQuery can restore deleted rows until " ~ receipt.travels_until ~ " (time travel), its"
        ~ " support until " ~ receipt.restored_until ~ " (fail-safe)"
    ) -%}
    {%- do lines.append(
        "not deleted here: files in exports/ (run `python -m publish csv` again), datasets of other"
        ~ " targets, the ids in BigQuery's job history" ~ ("" if is_private() else " and in dbt's log")
    ) -%}
    {%- for table in tables.others -%}
        {%- do lines.append("not deleted here: " ~ table.name ~ ", which is not of this project") -%}
    {%- endfor -%}
    {{- print(lines | join('\n')) -}}
{% endmacro %}

{% macro _ids_of_emails(tables, emails, exactly_one) %}
    {#- Prints the users who have or had the e-mail addresses, and returns their ids. -#}
    {%- set found, ids, wrong = [], [], [] -%}
    {%- if emails -%}
        {%- set found = run_query(users_of_emails(tables, emails)).rows -%}
    {%- endif -%}
    {%- for email, email_hash in zip(emails, hashes_of(emails)) -%}
        {%- set users = found | selectattr('email_hash', 'equalto', email_hash) | list -%}
        {%- set known = users | selectattr('id') | sort(attribute='id') | list -%}
        {%- set name = email | trim if is_private() else "number " ~ loop.index -%}
        {%- do print("users with the e-mail address " ~ name ~ ": " ~ known | length) -%}
        {%- for user in known -%}
            {%- do ids.append(user.id) -%}
            {%- do print("  " ~ (user.id if is_private() else "(the id would be in dbt's log)")
                ~ "  loads: " ~ user.loads ~ ", newest: " ~ user.loaded_at.strftime('%Y-%m-%d')) -%}
        {%- endfor -%}
        {%- if users | length > known | length -%}
            {%- do print("  and rows without an id, which are not deleted: docs/privacy.md") -%}
        {%- endif -%}
        {%- do wrong.append(loop.index) if known | length != 1 -%}
    {%- endfor -%}
    {%- if wrong and exactly_one -%}
        {{ exceptions.raise_compiler_error(
            "forget_users: nobody or several users have the e-mail address number "
            ~ wrong | join(', ') ~ ". Leave out the address of nobody; pass the ids of those whom you"
            ~ " mean, or `exactly_one: false` for all users listed. Nothing was deleted"
        ) }}
    {%- endif -%}
    {{ return(ids) }}
{% endmacro %}

{% macro is_private() %}
    {#- Whether dbt writes no log file: it would have all that a macro prints. -#}
    {{ return(invocation_args_dict.log_level_file == 'none') }}
{% endmacro %}
